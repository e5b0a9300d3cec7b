using 'main.bicep'

param settings = loadYamlContent('../environments/dev.yml')
