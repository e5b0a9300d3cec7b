// What one environment needs in Azure: a resource group, the Azure ML workspace, what it depends on,
// and who may do what there. Where all environments share a workspace, one deployment is for all.
targetScope = 'subscription'

@description('The content of environments/<name>.yml; that of production for a shared workspace.')
param settings object

@description('The contents of the files of all environments that the workspace serves.')
param environments array = [settings]

@description('The content of the file of the environment that versions come from: already deployed, with a workspace of its own. The first has none.')
param before object = {}

// A file of an older release has not all settings: `.?` and `??` say what holds then.
var azure = settings.azure
var location = azure.location
var prefix = azure.name_prefix
var registryName = azure.?registry ?? ''
var network = azure.?network ?? 'public'
var managed = network == 'managed'
var topology = length(environments) > 1 ? 'one-shared' : 'one-per-environment'

// The addresses from which people and agents reach the storage accounts, where they are closed.
var allowedAddresses = azure.?allowed_addresses ?? []

// The storage account, the key vault and the registry share one name. It must be globally unique,
// and fits the shortest limit, 24 characters: a prefix of at most 11, and a hash of 13.
var uniqueName = '${prefix}${hash}'
var hash = uniqueString('${subscription().id}/resourceGroups/${azure.resource_group}')

// Where versions come from. A module needs a group even where it is not deployed: then it is ours.
var comesAfter = !empty(before.?azure.?subscription_id ?? '')
var source = comesAfter ? before.azure : union(azure, { subscription_id: subscription().subscriptionId })

var names = {
  containerRegistry: uniqueName
  dataStorage: take('${prefix}data${hash}', 24)
  insights: 'appi-${uniqueName}'
  keyVault: uniqueName
  logs: 'log-${uniqueName}'
  storage: uniqueName
  workspace: azure.workspace
}

var team = {
  model: settings.model
  team: settings.?owner.?team ?? ''
  contact: settings.?owner.?contact ?? ''
}
var tags = union(team, { environment: topology == 'one-shared' ? 'shared' : settings.name })

// What models are trained and tested on; and, but for where they are developed, what they meet.
var containers = topology == 'one-per-environment' && settings.name == 'dev'
  ? ['raw', 'training']
  : ['raw', 'training', 'production']

// One identity for the cluster; for endpoints and for CI/CD one in each environment; and one that
// reads what the monitors found in production.
var cluster = { kind: 'compute', name: 'id-${prefix}-${tags.environment}-compute', federation: null }
var endpoints = map(environments, each => { kind: 'endpoint', name: 'id-${prefix}-${each.name}-endpoint', federation: null })
var workflows = map(filter(environments, each => contains(each, 'ci_cd')), each => {
  kind: 'ci_cd'
  name: 'id-${prefix}-${each.name}-ci-cd'
  federation: each.ci_cd.?federation
})
var watched = filter(environments, each => each.name == 'prod' && contains(each, 'ci_cd'))
var watchers = map(watched, each => { kind: 'monitoring', name: 'id-${prefix}-${each.name}-monitoring', federation: null })
var identities = concat([cluster], endpoints, workflows, watchers)

// The roles of roles.yml that hold here.
var scopes = concat(
  containers,
  ['container_registry', 'data', 'endpoint_identity', 'queue', 'resource_group', 'secret', 'storage', 'workspace'],
  empty(registryName) ? [] : ['registry'],
  comesAfter ? ['workspace_before'] : []
)
var roles = mapValues(
  any(loadYamlContent('roles.yml')),
  given => filter(given, role => contains(scopes, role.scope) && (role.?workspaces ?? topology) == topology && (role.?network ?? network) == network)
)

// The one role that has no id yet: its id is made from what is known before it is created.
var dataScientistRole = guid(subscription().id, azure.resource_group, 'data-scientist')

// Data scientists work in dev, whatever the other files say.
var groups = {
  data_scientists: map(filter(environments, each => each.name == 'dev'), each => each.?access.?data_scientists ?? '')
  ml_engineers: map(environments, each => each.?access.?ml_engineers ?? '')
  data_engineers: map(environments, each => each.?access.?data_engineers ?? '')
  infrastructure_team: map(environments, each => each.?access.?infrastructure_team ?? '')
}
var people = flatten(map(items(groups), group => map(filter(group.value, id => !empty(id)), id => {
  principal: toLower(id)
  type: 'Group'
  roles: roles[group.key]
})))
var machines = map(identities, each => { principal: each.name, type: 'ServicePrincipal', roles: roles[each.kind] })

// Files may name the same group, and one group may be two things: `union` keeps what is equal once.
var assignments = union([], flatten(map(concat(people, machines), who => map(who.roles, role => {
  principal: who.principal
  type: who.type
  scope: role.scope
  role: role.?id ?? dataScientistRole
}))))

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: azure.resource_group
  location: location
  tags: tags
}

// Shared by the environments, whichever is deployed first; so it carries no environment's name.
@onlyIfNotExists()
resource registryGroup 'Microsoft.Resources/resourceGroups@2025-04-01' = if (!empty(registryName)) {
  name: azure.?registry_resource_group ?? 'rg-${prefix}-registry'
  location: location
  tags: team
}

// Modules hand each other names, not outputs: an output is not known before the deployment, and
// what-if leaves out a module that is given one. Only `registryAccess` and `accessBefore` are.
module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    location: location
    tags: tags
    names: names
  }
}

module identity 'modules/identities.bicep' = {
  name: 'identities'
  scope: group
  params: {
    location: location
    tags: tags
    identities: identities
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    location: location
    tags: tags
    names: names
    managed: managed
    allowedAddresses: allowedAddresses
  }
  dependsOn: [monitoring]
}

module data 'modules/data.bicep' = {
  name: 'data'
  scope: group
  params: {
    location: location
    tags: tags
    names: names
    containers: containers
    managed: managed
    allowedAddresses: allowedAddresses
  }
  dependsOn: [monitoring]
}

module keyVault 'modules/key_vault.bicep' = {
  name: 'key-vault'
  scope: group
  params: {
    location: location
    tags: tags
    names: names
    managed: managed
  }
  dependsOn: [monitoring]
}

module containerRegistry 'modules/container_registry.bicep' = {
  name: 'container-registry'
  scope: group
  params: {
    location: location
    tags: tags
    names: names
    managed: managed
  }
  dependsOn: [monitoring]
}

module workspace 'modules/workspace.bicep' = {
  name: 'workspace'
  scope: group
  params: {
    location: location
    tags: tags
    names: names
    allowedHosts: azure.?allowed_hosts ?? []
    managed: managed
    computeName: azure.compute.name
    containers: containers
    networkRoles: roles.workspace
  }
  dependsOn: [monitoring, storage, data, keyVault, containerRegistry]
}

module compute 'modules/compute.bicep' = {
  name: 'compute'
  scope: group
  params: {
    location: location
    tags: tags
    workspaceName: names.workspace
    name: azure.compute.name
    identityName: cluster.name
    size: azure.compute.size
    tier: azure.compute.?tier ?? 'dedicated'
    minInstances: azure.compute.?min_instances ?? 0
    maxInstances: azure.compute.max_instances
    idleSeconds: azure.compute.?idle_seconds ?? 300
  }
  dependsOn: [identity, workspace]
}

module dataScientist 'modules/data_scientist_role.bicep' = if (topology == 'one-shared') {
  name: 'data-scientist-role'
  scope: group
  params: {
    id: dataScientistRole
    suffix: uniqueName
  }
}

module access 'modules/access.bicep' = {
  name: 'access'
  scope: group
  params: {
    names: names
    identities: identities
    assignments: assignments
    containers: containers
  }
  dependsOn: [identity, workspace, dataScientist]
}

module watch 'modules/watch.bicep' = {
  name: 'watch'
  scope: group
  params: {
    location: location
    tags: tags
    names: names
    prefix: prefix
    uniqueName: uniqueName
    settings: settings
    environments: environments
    roles: roles
  }
  dependsOn: [workspace]
}

// The group is every environment's: so the names of what is deployed into it are an environment's.
module registry 'modules/registry.bicep' = if (!empty(registryName)) {
  name: 'registry-${settings.name}'
  scope: registryGroup
  params: {
    location: location
    tags: team
    name: registryName
  }
}

module registryAccess 'modules/registry_access.bicep' = if (!empty(registryName)) {
  name: 'registry-access-${settings.name}'
  scope: registryGroup
  params: {
    registryName: registryName
    identities: identity.outputs.identities
    assignments: filter(assignments, each => each.scope == 'registry')
  }
  dependsOn: [registry]
}

module accessBefore 'modules/access_before.bicep' = if (comesAfter) {
  name: 'access-of-${settings.name}'
  scope: resourceGroup(source.subscription_id, source.resource_group)
  params: {
    workspaceName: source.workspace
    identities: identity.outputs.identities
    assignments: filter(assignments, each => each.scope == 'workspace_before')
  }
}

output workspaceName string = names.workspace
output dataStorageAccountName string = names.dataStorage
output registryName string = registryName
output identities array = identity.outputs.identities
