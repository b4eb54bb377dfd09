"""The tables of costs in README and docs/price.md are what the command makes of the declarations."""

import pytest

from workflow_scripts.base.errors import InputError
from workflow_scripts.bookkeeping.price_tables import BEGIN, END, inserted
from workflow_scripts.commands.price import tables_of_papers


def test_documents_have_the_costs_that_the_declarations_give():
    """Where this fails: python -m workflow_scripts.commands.price --table"""
    for path, table in tables_of_papers().items():
        document = path.read_text(encoding="utf-8")
        assert inserted(document, table) == document, path


def test_a_table_takes_the_place_of_the_one_before():
    document = f"Costs\n{BEGIN}\n\n| old |\n\n{END}\nmore"
    assert inserted(inserted(document, "| new |"), "| newer |") == f"Costs\n{BEGIN}\n\n| newer |\n\n{END}\nmore"


@pytest.mark.parametrize("document", ["", BEGIN, END, f"{END} {BEGIN}"])
def test_a_document_without_a_place_is_told(document):
    with pytest.raises(InputError, match="has no place for its table of costs"):
        inserted(document, "| new |")
