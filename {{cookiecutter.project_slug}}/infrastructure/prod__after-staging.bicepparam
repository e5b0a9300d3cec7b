using 'main.bicep'

param settings = loadYamlContent('../environments/prod.yml')
param before = loadYamlContent('../environments/staging.yml')
