"""Whether programs are kept or not, and what became of them on disk: the same bits.

That loaded ones give the bits of compiled ones is seen wherever a study is run twice.
"""

import pytest


@pytest.mark.slow
def test_results_do_not_depend_on_where_programs_come_from(new_study, tmp_path):
    cache = f"--compilation_cache={tmp_path / 'programs'}"
    flags = ("--depths=2", "--steps=50")
    outcomes = []
    for damage in (None, lambda content: content[: len(content) // 2] + b"?"):
        kept = sorted((tmp_path / "programs").glob("*/*-cache"))
        for path in kept if damage else ():
            path.write_bytes(damage(path.read_bytes()))
        study = new_study()
        said = study.finish(cache, *flags)
        assert "Traceback" not in said
        assert ("differ from their seals" in said) == bool(damage)
        outcomes.append(study.outcome())
        assert len(list((tmp_path / "programs").glob("*/*-cache"))) == len(kept) or not kept
    study = new_study()
    study.finish("--compilation_cache=none", *flags)
    assert outcomes == [study.outcome()] * len(outcomes)
