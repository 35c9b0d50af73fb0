"""The backend of networkx: ``nx.pagerank(G, backend="portapar")``.

==============  ========================================================================================================
`backend`       what networkx loads: `can_run`, `should_run`, conversions, and every function by its name
`served`        how a function of networkx is registered, and what becomes of calls that it does not do itself
`graphs`        graphs of networkx as compressed sparse rows, and back
`search`        breadth-first searches in networkx's order, distances
`centrality`    ranks and centralities
`structure`     components, cores, triangles, colours, forests
`pairs`         predictions of links, reciprocity
==============  ========================================================================================================

networkx finds it by the entry points ``networkx.backends`` and ``networkx.backend_info`` (`portapar_networkx`), and is
imported by nothing else of portapar. Results are of networkx's types and labels, in its order, and where a call is not
one that is done here, networkx's own function does it, so that its exceptions are networkx's.
"""
