"""Define-XML 2.1: what each dataset, variable and codelist of a package is, for those who read it without us."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cytomrd import __version__
from cytomrd.errors import StudyError
from cytomrd.trial.cdisc.files import replace_file
from cytomrd.trial.cdisc.model import CdiscDataset, Variable, iso_precision, text_length
from cytomrd.trial.cdisc.terms import codelist

__all__ = ["read_define", "write_define"]

# Implementation guides that the datasets follow, as Define-XML names them.
_GUIDES = {"SDTM": ("SDTMIG", "3.4"), "ADaM": ("ADaMIG", "1.3")}
_TYPES = {"text": "text", "integer": "integer", "float": "float", "date": "integer"}
_SOURCES = {"Collected": "Investigator", "Derived": "Sponsor", "Assigned": "Sponsor", "Protocol": "Sponsor"}


def write_define(
    datasets: Sequence[CdiscDataset],
    path: str | os.PathLike,
    *,
    study_id: str,
    description: str,
    created: datetime,
) -> Path:
    """Write ``define.xml`` for the datasets of one model, whole or not at all; returns its path.

    Parameters
    ----------
    datasets
        All SDTM or all ADaM, as they were written beside the file.
    study_id, description
        The study's identifier and what it is, in a sentence.
    created
        Time of creation.

    Raises
    ------
    StudyError
        If the datasets are of two models, or a reference in the document leads nowhere.
    """
    models = {d.model for d in datasets}
    if len(models) != 1:
        raise StudyError(f"a Define-XML describes the datasets of one model; got {', '.join(sorted(models)) or 'none'}")
    document = _Document(datasets, study_id, description, created).odm()

    def write(temporary: Path) -> None:
        document.write_xml(str(temporary))
        _check_references(temporary)

    return replace_file(Path(path), write)


def read_define(path: str | os.PathLike):
    """The ``MetaDataVersion`` of a Define-XML 2.1 file, as odmlib's objects."""
    return _load(path).MetaDataVersion()


def _load(path: str | os.PathLike):
    from odmlib import define_loader, loader

    opened = loader.ODMLoader(define_loader.XMLDefineLoader(model_package="define_2_1"))
    opened.open_odm_document(str(path))
    return opened


def _check_references(path: Path) -> None:
    """Every OID that is referred to is defined once; the file loads and says what was written."""
    from odmlib.exceptions import OdmlibError
    from odmlib.oid_generator import create_oid_checker

    try:
        _load(path).root().verify_oids(create_oid_checker("define_2_1"))
    except OdmlibError as error:
        raise StudyError(f"{path.name}: not a sound Define-XML 2.1: {error}") from error


class _Document:
    """Collects the parts of one document: items and codelists are defined once, where they are first used."""

    def __init__(self, datasets: Sequence[CdiscDataset], study_id: str, description: str, created: datetime):
        from odmlib.define_2_1 import model

        self.m = model
        self.datasets, self.study_id, self.description, self.created = datasets, study_id, description, created
        self.model = datasets[0].model
        self.codelists: dict[str, Any] = {}
        self.methods: dict[str, Any] = {}

    def odm(self):
        guide, version = _GUIDES[self.model]
        m = self.m
        standard = m.Standards(Standard=[
            m.Standard(OID="STD.IG", Name=guide, Type="IG", Version=version, Status="Final"),
        ])  # fmt: skip
        groups = [self._group(d) for d in self.datasets]
        items = [self._item(d, v) for d in self.datasets for v in d.variables]
        version_oid = f"MDV.{self.study_id}.{self.model}"
        mdv = m.MetaDataVersion(
            OID=version_oid,
            Name=f"Study {self.study_id}, {self.model} datasets",
            Description=self.description,
            DefineVersion="2.1.0",
            Standards=standard,
            ItemGroupDef=groups,
            ItemDef=items,
            CodeList=list(self.codelists.values()),
            MethodDef=list(self.methods.values()),
        )
        names = m.GlobalVariables(
            StudyName=m.StudyName(_content=self.study_id),
            StudyDescription=m.StudyDescription(_content=self.description),
            ProtocolName=m.ProtocolName(_content=self.study_id),
        )
        return m.ODM(
            FileType="Snapshot",
            FileOID=f"{self.study_id}.{self.model}.define",
            CreationDateTime=self.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            ODMVersion="1.3.2",
            Originator="cytomrd",
            SourceSystem="cytomrd",
            SourceSystemVersion=__version__,
            Context="Submission",
            Study=m.Study(OID=f"STDY.{self.study_id}", GlobalVariables=names, MetaDataVersion=mdv),
        )

    def _described(self, text: str):
        return self.m.Description(TranslatedText=[self.m.TranslatedText(lang="en", _content=text)])

    def _group(self, data: CdiscDataset):
        m, file = self.m, f"{data.name.lower()}.xpt"
        optional = {"Domain": data.name} if data.model == "SDTM" else {}
        return m.ItemGroupDef(
            OID=f"IG.{data.name}",
            Name=data.name,
            Repeating="No" if data.keys == ("STUDYID", "USUBJID") else "Yes",
            IsReferenceData="No",
            SASDatasetName=data.name,
            Purpose="Tabulation" if data.model == "SDTM" else "Analysis",
            Structure=data.structure,
            ArchiveLocationID=f"LF.{data.name}",
            StandardOID="STD.IG",
            Description=self._described(data.label),
            Class=m.Class(Name=data.class_name),
            ItemRef=[self._reference(data, v, i) for i, v in enumerate(data.variables, start=1)],
            leaf=m.leaf(ID=f"LF.{data.name}", href=file, title=m.title(_content=file)),
            **optional,
        )

    def _reference(self, data: CdiscDataset, variable: Variable, order: int):
        optional: dict[str, Any] = {"KeySequence": variable.key} if variable.key else {}
        if variable.origin == "Derived":
            optional["MethodOID"] = self._method(data, variable)
        return self.m.ItemRef(
            ItemOID=f"IT.{data.name}.{variable.name}",
            OrderNumber=order,
            Mandatory="Yes" if variable.required else "No",
            **optional,
        )

    def _method(self, data: CdiscDataset, variable: Variable) -> str:
        oid = f"MT.{data.name}.{variable.name}"
        text = variable.comment or f"Derived by cytomrd {__version__}: {variable.label}"
        self.methods[oid] = self.m.MethodDef(
            OID=oid, Name=f"{data.name}.{variable.name}", Type="Computation", Description=self._described(text)
        )
        return oid

    def _item(self, data: CdiscDataset, variable: Variable):
        m, values = self.m, data.column(variable.name)
        kind = _TYPES.get(variable.kind) or iso_precision(values) or "incompleteDatetime"
        optional: dict[str, Any] = {}
        if kind == "text":
            optional["Length"] = text_length(values)
        elif kind == "integer":
            optional["Length"] = max([1, *(len(str(abs(v))) for v in values if isinstance(v, int))])
        elif kind == "float":
            # Width and decimals of the values as they stand, shortest text that gives them back.
            texts = [repr(float(v)) for v in values if v is not None]
            optional["Length"] = max([1, *map(len, texts)])
            optional["SignificantDigits"] = max([0, *(len(t.partition(".")[2].partition("e")[0]) for t in texts)])
        if variable.kind == "date":
            optional |= {"DisplayFormat": "DATE9.", "Length": 5}
        if oid := self._codelist(variable, values):
            optional["CodeListRef"] = m.CodeListRef(CodeListOID=oid)
        source = _SOURCES.get(variable.origin)
        origin = m.Origin(Type=variable.origin, **({"Source": source} if source else {}))
        return m.ItemDef(
            OID=f"IT.{data.name}.{variable.name}",
            Name=variable.name,
            DataType=kind,
            SASFieldName=variable.name,
            Description=self._described(variable.label),
            Origin=[origin],
            **optional,
        )

    def _codelist(self, variable: Variable, values: Sequence[Any]) -> str:
        """The codelist with the terms in use; a sponsor's term is marked as such."""
        if not (variable.codelist or variable.terms):
            return ""
        used = sorted({v for v in values if v is not None})
        name = variable.codelist or variable.name
        oid = f"CL.{name}"
        if not used:
            return ""
        before = [i.CodedValue for i in self.codelists[oid].EnumeratedItem] if oid in self.codelists else []
        self.codelists[oid] = self._codelist_def(variable, oid, name, sorted({*before, *used}))
        return oid

    def _codelist_def(self, variable: Variable, oid: str, name: str, used: list[str]):
        m = self.m
        known = codelist(variable.codelist) if variable.codelist else None
        items = list(self._enumerated(known, used))
        if known is None:
            return m.CodeList(OID=oid, Name=name, DataType="text", IsNonStandard="Yes", EnumeratedItem=items)
        alias = m.Alias(Context="nci:ExtCodeID", Name=known.code)
        return m.CodeList(OID=oid, Name=known.name, DataType="text", EnumeratedItem=items, Alias=[alias])

    def _enumerated(self, known, used: list[str]) -> Iterator[Any]:
        m = self.m
        for value in used:
            if known is not None and value in known:
                alias = [m.Alias(Context="nci:ExtCodeID", Name=known.terms[value].code)]
                yield m.EnumeratedItem(CodedValue=value, Alias=alias)
            elif known is not None:
                yield m.EnumeratedItem(CodedValue=value, ExtendedValue="Yes")
            else:
                yield m.EnumeratedItem(CodedValue=value)
