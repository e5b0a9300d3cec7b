using 'main.bicep'

param settings = loadYamlContent('../environments/staging.yml')
