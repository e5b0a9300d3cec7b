// What a data scientist may do in a workspace that holds production's endpoints too: all that
// `AzureML Data Scientist` may, but for what serves, and what leads to data or out of the network.
param id string

@description('Names of roles are unique in a tenant: this tells ours from others.')
param suffix string

var group = resourceGroup().id
var workspaces = 'Microsoft.MachineLearningServices/workspaces/'

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: id
  properties: {
    roleName: 'Data Scientist without Endpoints (${suffix})'
    description: 'Trains in an Azure ML workspace, and touches no endpoint, datastore or compute in it.'
    type: 'CustomRole'
    permissions: [
      {
        actions: [
          '${workspaces}read'
          '${workspaces}*/read'
          '${workspaces}*/action'
          '${workspaces}*/write'
          '${workspaces}*/delete'
        ]
        notActions: [
          // As the built-in role has them.
          '${workspaces}delete'
          '${workspaces}write'
          '${workspaces}listKeys/action'
          '${workspaces}computes/*/write'
          '${workspaces}computes/*/delete'
          '${workspaces}computes/listKeys/action'
          '${workspaces}featurestores/write'
          '${workspaces}featurestores/delete'
          '${workspaces}hubs/write'
          '${workspaces}hubs/delete'
          // A cluster or an instance is the infrastructure team's.
          '${workspaces}computes/write'
          '${workspaces}computes/delete'
          // Endpoints: neither made, nor changed, nor called.
          '${workspaces}batchEndpoints/write'
          '${workspaces}batchEndpoints/delete'
          '${workspaces}batchEndpoints/*/write'
          '${workspaces}batchEndpoints/*/delete'
          '${workspaces}batchEndpoints/*/action'
          '${workspaces}onlineEndpoints/write'
          '${workspaces}onlineEndpoints/delete'
          '${workspaces}onlineEndpoints/*/write'
          '${workspaces}onlineEndpoints/*/delete'
          '${workspaces}onlineEndpoints/*/action'
          '${workspaces}serverlessEndpoints/write'
          '${workspaces}serverlessEndpoints/delete'
          '${workspaces}serverlessEndpoints/*/action'
          // Where a name of a datastore leads, and what the network lets out.
          '${workspaces}connections/write'
          '${workspaces}connections/delete'
          '${workspaces}datastores/write'
          '${workspaces}datastores/delete'
          '${workspaces}outboundRules/write'
          '${workspaces}outboundRules/delete'
        ]
      }
    ]
    assignableScopes: [group]
  }
}
