"""In and out of the PACS: reports, presentation states and pictures; corrected reports; a node. Needs `pip install 'lumbar[pacs]'`."""
