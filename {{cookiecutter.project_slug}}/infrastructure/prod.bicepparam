using 'main.bicep'

param settings = loadYamlContent('../environments/prod.yml')
