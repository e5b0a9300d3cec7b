// Mail to the owner before the resource group costs more than it may.
param budget object
param contact string

// Azure wants the first of a month that is not over, and never lets a start be changed. So a budget
// is made once, with the month in which that happens; a new amount is a new budget, under its own
// name. The old one then stays until somebody deletes it.
param start string = utcNow('yyyy-MM-01')

@onlyIfNotExists()
resource monthly 'Microsoft.Consumption/budgets@2026-06-01' = {
  name: 'monthly-${replace(string(budget.monthly), '.', '-')}'
  properties: {
    amount: budget.monthly
    category: 'Cost'
    notifications: {
      actual80: {
        contactEmails: [contact]
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 80
        thresholdType: 'Actual'
      }
      actual100: {
        contactEmails: [contact]
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 100
        thresholdType: 'Actual'
      }
      forecast100: {
        contactEmails: [contact]
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 100
        thresholdType: 'Forecasted'
      }
    }
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: start
    }
  }
}
