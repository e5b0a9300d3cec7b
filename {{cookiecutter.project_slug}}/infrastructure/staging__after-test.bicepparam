using 'main.bicep'

param settings = loadYamlContent('../environments/staging.yml')
param before = loadYamlContent('../environments/test.yml')
