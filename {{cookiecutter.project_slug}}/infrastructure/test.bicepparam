using 'main.bicep'

param settings = loadYamlContent('../environments/test.yml')
