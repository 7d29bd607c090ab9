"""Pictures of a run: tasks, connections, calls, streams and outages on one time line.

    from derivtrio.trace import timeline

    with timeline("run.html"):
        async with derivtrio.open_client() as client:
            ...

The folder:

- `recording`: what was seen, as data of bounded size.
- `retention`: how a recording of the last minutes forgets the rest.
- `observing`: sees it, as a trio instrument and as an observer of clients.
- `timelines`: `timeline`, which records a block.
- `outages`: why a client reconnected, in sentences and as a Mermaid sequence.
- `picture`: what a picture consists of, as data.
- `layout`: which row of the picture each thing has; `task_tree`: the rows of the program's tasks.
- `drawing`: the picture, as SVG.
- `still`: the picture as one SVG file, for a page that shows pictures.
- `page`: the picture with what explains it, as one HTML file.
- `live`: `serve`; the page while the picture grows, for browsers.
- `perfetto`: the same as trace events, which Perfetto and Chrome can show.

Nothing else imports this folder, so a program that does not use it does not pay for it. Begin with
`timelines`.
"""

from derivtrio.trace.live import serve
from derivtrio.trace.outages import Outage, mermaid, outages_of
from derivtrio.trace.timelines import Timeline, timeline

__all__ = ["Outage", "Timeline", "mermaid", "outages_of", "serve", "timeline"]
