// Starts the CI/CD's monitoring stage when an event comes. The stage computes, decides by the policy,
// and starts one training however often it is started.
param location string
param tags object
param names object

@description('What is called: `.../dispatches` of a workflow, or `.../runs` of a pipeline.')
param url string

@description('Of the role on the secret that the Logic App needs: id.')
param secretRoles array

@description('Which events start it: a filter of an event subscription.')
param breach object

// Each API takes its own words, and its own kind of token.
var isPipeline = endsWith(url, '/runs')
var repository = { repositories: { self: { refName: 'refs/heads/main' } } }
var body = isPipeline ? { resources: repository } : { ref: 'main' }

resource keyVault 'Microsoft.KeyVault/vaults@2026-02-01' existing = {
  name: names.keyVault
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: names.eventTopic
}

// A person puts the token in its place. It is here so that the Logic App can have a role on it alone:
// the vault also keeps what the workspace's own datastores sign in with.
@onlyIfNotExists()
resource secret 'Microsoft.KeyVault/vaults/secrets@2026-02-01' = {
  // checkov:skip=CKV_AZURE_41:the token in it expires
  parent: keyVault
  name: 'ci-cd-dispatch'
  properties: {
    contentType: 'the token that starts the monitoring stage'
    value: 'not a token yet'
  }
}

resource workflow 'Microsoft.Logic/workflows@2019-05-01' = {
  name: names.logicApp
  location: location
  identity: {
    type: 'SystemAssigned'
  }
  tags: tags
  properties: {
    definition: loadJsonContent('dispatch.json')
    parameters: {
      body: {
        value: body
      }
      scheme: {
        value: isPipeline ? 'Basic' : 'Bearer'
      }
      secret: {
        value: '${keyVault.properties.vaultUri}secrets/${secret.name}'
      }
      url: {
        value: isPipeline ? '${url}?api-version=7.1' : url
      }
    }
    state: 'Enabled'
  }
}

resource reader 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for each in secretRoles: {
  scope: secret
  name: guid(secret.id, workflow.id, each.id)
  properties: {
    principalId: workflow.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', each.id)
  }
}]

// The address of the trigger holds the key to it: Azure hands it over here, and shows it to nobody.
resource toLogicApp 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'retraining'
  properties: {
    destination: {
      endpointType: 'WebHook'
      properties: {
        endpointUrl: listCallbackUrl('${workflow.id}/triggers/event', '2019-05-01').value
        maxEventsPerBatch: 1
        minimumTlsVersionAllowed: '1.2'
      }
    }
    eventDeliverySchema: 'EventGridSchema'
    filter: breach
    // Event Grid gives up after a day: the stage has looked by itself then.
    retryPolicy: {
      eventTimeToLiveInMinutes: 1440
      maxDeliveryAttempts: 30
    }
  }
}
