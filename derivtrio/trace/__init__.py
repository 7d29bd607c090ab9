"""Pictures of a run: tasks, connections, calls, streams and outages on one time line.

    from derivtrio.trace import timeline

    with timeline("run.html"):
        async with derivtrio.open_client() as client:
            ...

The folder:

- `recording`: what was seen, as data of bounded size.
- `observing`: `timeline`; sees it, as a trio instrument and as an observer of clients.
- `outages`: why a client reconnected, in sentences and as a Mermaid sequence.
- `layout`: which row of the picture each thing has.
- `drawing`: the picture, as SVG.
- `still`: the picture as one SVG file, for a page that shows pictures.
- `page`: the picture with what explains it, as one HTML file.
- `perfetto`: the same as trace events, which Perfetto and Chrome can show.

Nothing else imports this folder, so a program that does not use it does not pay for it. Begin with
`observing`.
"""

from derivtrio.trace.observing import Timeline, timeline
from derivtrio.trace.outages import Outage, mermaid, outages_of

__all__ = ["Outage", "Timeline", "mermaid", "outages_of", "timeline"]
