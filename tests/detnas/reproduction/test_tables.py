"""Tables as data, and the example's: which files are read, and what is wrong with others."""

from pathlib import Path

import pytest

from detnas.errors import UserError
from detnas.plan.digests import pool_digest
from detnas.reproduction.searches import LIKE_WINNER_OF, check_rows, load_searches
from detnas.reproduction.tables import Column, load_tables
from detnas.spec.explain import ManifestError

ABLATIONS = Path(__file__).parents[3] / "examples" / "ablations"
TABLE = 'number: table 2\ntitle: pruning\nrows: [{name: R50, paper: {ap: "37.1"}, search: a}]\n'


def write(folder: Path, **files: str) -> Path:
    (folder / "tables").mkdir()
    for name, text in files.items():
        (folder / "tables" / f"{name}.yaml").write_text(text)
    return folder


def test_tables_are_ordered_by_kind_and_number(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        a=TABLE.replace("table 2", "figure 4"),
        b=TABLE.replace("table 2", "table 12"),
        c=TABLE,
    )
    assert [table.number for table in load_tables(folder)] == ["table 2", "table 12", "figure 4"]


def test_table_has_the_columns_that_the_paper_gives(tmp_path: Path) -> None:
    (table,) = load_tables(write(tmp_path, a=TABLE.replace("ap: ", "backboneGflops: ")))
    assert table.columns == (Column.AP, Column.BACKBONE_GFLOPS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TABLE.replace("table 2", "tab. 2"), "number"),
        (TABLE.replace("ap:", "map:"), "rows"),
        (TABLE.replace("search: a", "detector: Winner"), "detector"),
        ("- table", "table"),
    ],
)
def test_wrong_table_is_refused_by_file_and_field(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ManifestError, match=rf"(?s)a\.yaml is no usable table.*{said}"):
        load_tables(write(tmp_path, a=text))


def test_table_described_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two files describe table 2"):
        load_tables(write(tmp_path, a=TABLE, b=TABLE))


def test_row_of_an_unknown_search_is_refused(tmp_path: Path) -> None:
    tables = load_tables(write(tmp_path, a=TABLE))
    with pytest.raises(UserError, match=r"table 2: R50 is repeated by the search a.*joint"):
        check_rows(tables, load_searches(ABLATIONS))


def test_ablations_are_complete_and_share_one_pool() -> None:
    searches, tables = load_searches(ABLATIONS), load_tables(ABLATIONS)
    check_rows(tables, searches)
    tables_there = {1, 2, 3, 5, 10, 11, 12}
    assert {f"table {n}" for n in tables_there} <= {table.number for table in tables}
    assert len({pool_digest(search.manifest.spec, "data") for search in searches}) == 1


def test_bases_of_table_1_equal_a_subnet_of_the_pool() -> None:
    specs = {search.name: search.manifest.spec for search in load_searches(ABLATIONS)}
    (table,) = (table for table in load_tables(ABLATIONS) if table.number == "table 1")
    for name in {row.search for row in table.rows if row.search}:
        spec = specs[name]
        neck, space = spec.detector.neck, spec.teachers.space
        assert spec.teachers.supernet.subnet_like(spec.base.resolve(), neck, space), name


def copy_of(name: str, to: Path, old: str, new: str) -> None:
    text = (ABLATIONS / name).read_text()
    assert old in text
    to.write_text(text.replace(old, new))


def test_search_like_another_comes_after_it() -> None:
    names = [search.name for search in load_searches(ABLATIONS)]
    assert names.index("nas-prune-kd") > names.index("random")


def test_search_like_an_unknown_one_is_refused(tmp_path: Path) -> None:
    copy_of("prune-kd.yaml", tmp_path / "a.yaml", "winner-of: joint", "winner-of: jiont")
    with pytest.raises(UserError, match=rf"a\.yaml: {LIKE_WINNER_OF} names jiont"):
        load_searches(tmp_path)


def test_two_searches_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        copy_of("joint.yaml", tmp_path / name, "name: joint", "name: same")
    with pytest.raises(UserError, match="same name, same"):
        load_searches(tmp_path)


def test_folder_without_manifests_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no manifest"):
        load_searches(tmp_path)
