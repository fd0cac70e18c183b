"""Grafana's dashboards as code: *Service*, *Model* and *Training*."""

__version__ = "0.2.0"
