// The page of the portal that shows the endpoint, the jobs and the monitors, from metrics alone: it
// needs no logs.
param location string
param tags object
param names object

@description('What the page is called.')
param title string

resource workspace 'Microsoft.MachineLearningServices/workspaces@2026-05-01' existing = {
  name: names.workspace
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: names.eventTopic
}

// What lies in the workspace, the page looks up by itself: no name in it gets old.
var page = replace(loadTextContent('workbook.json'), 'WORKSPACE_ID', workspace.id)

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'monitoring')
  location: location
  kind: 'shared'
  tags: tags
  properties: {
    category: 'workbook'
    displayName: title
    serializedData: replace(page, 'EVENT_TOPIC_ID', topic.id)
    sourceId: 'Azure Monitor'
    version: 'Notebook/1.0'
  }
}
