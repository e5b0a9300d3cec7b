// Who may do what in the environment: roles.yml, as assignments. A scope in Bicep is a symbol, not a
// value, so each scope has a block.
param names object

@description('Of each: kind and name.')
param identities array

@description('Of each: principal (id of a group, name of an identity), type, scope, role (its id).')
param assignments array

@description('The containers of the data account; their names are scopes.')
param containers array

var identityNames = map(identities, each => each.name)
var endpointIdentities = filter(identities, each => each.kind == 'endpoint')
var handedOut = flatten(map(endpointIdentities, given => map(
  filter(assignments, each => each.scope == 'endpoint_identity'),
  each => union(each, { identity: given.name })
)))

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = [for each in identityNames: {
  name: each
}]

resource workspace 'Microsoft.MachineLearningServices/workspaces@2026-05-01' existing = {
  name: names.workspace
}

resource storage 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: names.storage
}

resource data 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: names.dataStorage
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2026-04-01' existing = {
  parent: data
  name: 'default'
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-04-01' existing = [for each in containers: {
  parent: blobs
  name: each
}]

resource registry 'Microsoft.ContainerRegistry/registries@2025-11-01' existing = {
  name: names.containerRegistry
}

// The names of role assignments are made from ids that are known before anything is created: the
// same deployment again finds its assignments. `principalType` lets Azure wait for the identity.
resource onGroup 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for each in filter(assignments, each => each.scope == 'resource_group'): {
  name: guid(resourceGroup().id, each.principal, each.role)
  properties: {
    principalId: each.type == 'Group'
      ? each.principal
      : identity[indexOf(identityNames, each.principal)].properties.principalId
    principalType: each.type
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', each.role)
  }
}]

resource onWorkspace 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for each in filter(assignments, each => each.scope == 'workspace'): {
  scope: workspace
  name: guid(workspace.id, each.principal, each.role)
  properties: {
    principalId: each.type == 'Group'
      ? each.principal
      : identity[indexOf(identityNames, each.principal)].properties.principalId
    principalType: each.type
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', each.role)
  }
}]

resource onStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for each in filter(assignments, each => each.scope == 'storage'): {
  scope: storage
  name: guid(storage.id, each.principal, each.role)
  properties: {
    principalId: each.type == 'Group'
      ? each.principal
      : identity[indexOf(identityNames, each.principal)].properties.principalId
    principalType: each.type
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', each.role)
  }
}]

resource onData 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for each in filter(assignments, each => each.scope == 'data'): {
  scope: data
  name: guid(data.id, each.principal, each.role)
  properties: {
    principalId: each.type == 'Group'
      ? each.principal
      : identity[indexOf(identityNames, each.principal)].properties.principalId
    principalType: each.type
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', each.role)
  }
}]

resource onContainer 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for each in filter(assignments, each => contains(containers, each.scope)): {
  scope: container[indexOf(containers, each.scope)]
  name: guid(container[indexOf(containers, each.scope)].id, each.principal, each.role)
  properties: {
    principalId: each.type == 'Group'
      ? each.principal
      : identity[indexOf(identityNames, each.principal)].properties.principalId
    principalType: each.type
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', each.role)
  }
}]

resource onContainerRegistry 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for each in filter(assignments, each => each.scope == 'container_registry'): {
  scope: registry
  name: guid(registry.id, each.principal, each.role)
  properties: {
    principalId: each.type == 'Group'
      ? each.principal
      : identity[indexOf(identityNames, each.principal)].properties.principalId
    principalType: each.type
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', each.role)
  }
}]

resource onEndpointIdentity 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for each in handedOut: {
  scope: identity[indexOf(identityNames, each.identity)]
  name: guid(identity[indexOf(identityNames, each.identity)].id, each.principal, each.role)
  properties: {
    principalId: each.type == 'Group'
      ? each.principal
      : identity[indexOf(identityNames, each.principal)].properties.principalId
    principalType: each.type
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', each.role)
  }
}]
