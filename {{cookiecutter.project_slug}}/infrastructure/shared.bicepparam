// For one shared workspace: every environment names the same one, and production's file stands
// for all of them.
using 'main.bicep'

param settings = loadYamlContent('../environments/prod.yml')
