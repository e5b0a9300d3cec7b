// Events of the workspace: that a monitor of Azure ML has found a breach.
param location string
param tags object
param names object

@description('Of the role on the queue that the topic needs: id.')
param queueRoles array

@description('Which events those are: a filter of an event subscription.')
param breach object

resource workspace 'Microsoft.MachineLearningServices/workspaces@2026-05-01' existing = {
  name: names.workspace
}

resource storage 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: names.storage
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: names.eventTopic
  location: location
  // Its own: a closed storage account lets in no other identity of an event.
  identity: {
    type: 'SystemAssigned'
  }
  tags: tags
  properties: {
    source: workspace.id
    topicType: 'Microsoft.MachineLearningServices.Workspaces'
  }
}

// A subscription must deliver somewhere. In a queue the events cost next to nothing, and whoever
// wants to know which runs they were can look for a week.
resource queues 'Microsoft.Storage/storageAccounts/queueServices@2026-04-01' = {
  parent: storage
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2026-04-01' = {
  parent: queues
  name: names.breaches
}

resource sender 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for each in queueRoles: {
  scope: queue
  name: guid(queue.id, topic.id, each.id)
  properties: {
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', each.id)
  }
}]

resource toQueue 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: names.breaches
  properties: {
    deliveryWithResourceIdentity: {
      destination: {
        endpointType: 'StorageQueue'
        properties: {
          queueMessageTimeToLiveInSeconds: 604800
          queueName: queue.name
          resourceId: storage.id
        }
      }
      identity: {
        type: 'SystemAssigned'
      }
    }
    eventDeliverySchema: 'EventGridSchema'
    filter: breach
  }
  dependsOn: [
    sender
  ]
}
