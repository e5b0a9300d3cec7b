using 'main.bicep'

param settings = loadYamlContent('../environments/test.yml')
param before = loadYamlContent('../environments/dev.yml')
