"""Which examples are kept: their order, the budget, the turns that rankings take, and near duplicates."""
