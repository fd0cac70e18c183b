"""Grafana's dashboards as code: *Service*, *Model* and *Training*."""
