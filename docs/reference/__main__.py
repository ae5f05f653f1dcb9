"""python -m docs.reference (part of `make docs`)"""

from docs.reference import variables
from docs.reference.pages import PAGES, current

if __name__ == "__main__":
    for page in PAGES:
        page.write_text(current(page), encoding="utf-8")
    variables.FILE.write_text(variables.current(), encoding="utf-8")
