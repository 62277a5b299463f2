"""Workday: requisitions that its people decide on (SOAP), their steps (REST), its workers."""
