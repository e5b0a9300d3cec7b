// Where the logs of all other resources go.
param location string
param tags object
param names object

resource logs 'Microsoft.OperationalInsights/workspaces@2026-03-01' = {
  name: names.logs
  location: location
  tags: tags
  properties: {
    retentionInDays: 30
    sku: {
      name: 'PerGB2018'
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: names.insights
  location: location
  kind: 'web'
  tags: tags
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: logs.id
  }
}
