"""Queries of people and programs: PromQL in a process of its own, beside the agent.

    exporters.prometheus_api ──► agent.app.queries ──► child ──► file, read only
                                        ▲               │
                                        └── memory ◄────┘  asked for series by number, in slices

The agent itself never parses a query nor matches a label: both may take as long as whoever asks
likes.
"""
