"""python -m docs.reference (part of `make docs`)"""

from docs.reference import metrics, variables
from docs.reference.pages import PAGES, current

if __name__ == "__main__":
    # First: pages say what follows from these, like who sends spans.
    variables.FILE.write_text(variables.current(), encoding="utf-8")
    metrics.FILE.write_text(metrics.current(), encoding="utf-8")
    for page in PAGES:
        page.write_text(current(page), encoding="utf-8")
