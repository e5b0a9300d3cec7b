// Who may do what in the workspace of the environment before, which lies in a group of its own.
param workspaceName string

@description('Of each: name and principalId.')
param identities array

@description('Of each: principal (id of a group, name of an identity), type, role (its id).')
param assignments array

resource workspace 'Microsoft.MachineLearningServices/workspaces@2026-05-01' existing = {
  name: workspaceName
}

// That workspace outlives this environment. An identity that is made again has another id, so its
// assignment has another name: Azure refuses to give it that of the old one.
var given = map(assignments, each => {
  principalId: each.type == 'Group'
    ? each.principal
    : first(filter(identities, identity => identity.name == each.principal)).principalId
  type: each.type
  role: each.role
})

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for each in given: {
  scope: workspace
  name: guid(workspace.id, each.principalId, each.role)
  properties: {
    principalId: each.principalId
    principalType: each.type
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', each.role)
  }
}]
