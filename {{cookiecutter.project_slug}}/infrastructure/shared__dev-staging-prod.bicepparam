// One workspace for all environments: production's file says where it lies, and each file who works
// in its environment and as whom its CI/CD signs in.
using 'main.bicep'

var dev = loadYamlContent('../environments/dev.yml')
var staging = loadYamlContent('../environments/staging.yml')
var prod = loadYamlContent('../environments/prod.yml')

param settings = prod
param environments = [dev, staging, prod]
