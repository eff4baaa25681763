"""The tables of a study folder, each column declared once: type, unit, values, meaning, CDISC target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["TABLES", "ColumnKind", "StudyColumn", "StudyTable"]

# datetime: with minutes; moment: a date, the time of day if known; date: a date alone.
ColumnKind = Literal["text", "word", "number", "integer", "boolean", "datetime", "moment", "date"]


@dataclass(frozen=True)
class StudyColumn:
    """One column of a study table.

    Attributes
    ----------
    required
        Every row must fill it; an optional column may also be absent from the table.
    values
        The words (or whole numbers, as text) that are allowed; empty for any.
    low, high
        The range allowed, both ends included; ``above`` excludes the lower end.
    """

    name: str
    kind: ColumnKind
    meaning: str
    required: bool = False
    values: tuple[str, ...] = ()
    unit: str = ""
    low: float = -1e300
    high: float = 1e300
    above: bool = False
    hint: str = ""
    cdisc: str = ""


@dataclass(frozen=True)
class StudyTable:
    """One CSV of the study folder; ``required`` says that the file must be there, if only with its header."""

    name: str
    columns: tuple[StudyColumn, ...]
    required: bool = True

    @property
    def by_name(self) -> dict[str, StudyColumn]:
        """The columns by their names."""
        return {column.name: column for column in self.columns}


YES_NO, YES_NO_NE = ("Y", "N"), ("Y", "N", "NE")
C = StudyColumn


def _subject() -> StudyColumn:
    return C("USUBJID", "text", "subject, as in subjects.csv", required=True, cdisc="DM.USUBJID")


def _visit() -> StudyColumn:
    return C("VISIT", "text", "name of the visit", required=True, cdisc="VISIT")


def _percent(name: str, meaning: str, cdisc: str = "") -> StudyColumn:
    return C(name, "number", meaning, unit="%", low=0, high=100, hint="write a percentage from 0 to 100", cdisc=cdisc)


SUBJECTS = StudyTable(
    "subjects",
    (
        C("STUDYID", "text", "identity of the study, as in study.toml", required=True, cdisc="DM.STUDYID"),
        C("USUBJID", "text", "subject; unique, at most 40 ASCII characters", required=True, cdisc="DM.USUBJID"),
        C("DX", "word", "diagnosis", required=True, values=("MM", "PCL"), cdisc="MH/ADSL"),
        C("COHORT", "number", "dose level for each infusion", required=True, unit="CAR+ NK cells", low=0, above=True,
          cdisc="DM.ARMCD/ADSL.TRT01P"),
        C("MTYPE", "word", "type of the monoclonal protein", required=True,
          values=("IGG", "IGA", "IGD", "IGM", "FLC", "NONSEC"), cdisc="ADSL"),
        C("INVOLVED_LC", "word", "involved light chain; needed where free light chains are used",
          values=("KAPPA", "LAMBDA"), cdisc="ADSL"),
        C("WEIGHT_BL", "number", "body weight at baseline", required=True, unit="kg", low=0, high=400, above=True,
          hint="the unit is kilograms", cdisc="VS"),
        C("AGE", "number", "age at consent", unit="years", low=0, high=120, cdisc="DM.AGE"),
        C("SEX", "word", "sex", values=("F", "M"), cdisc="DM.SEX"),
        C("RFICDTC", "moment", "informed consent", cdisc="DM.RFICDTC"),
        C("DLTEVAL", "word", "evaluable for dose-limiting toxicity, as the safety committee decided", values=YES_NO,
          cdisc="ADSL"),
    ),
)  # fmt: skip

DOSING = StudyTable(
    "dosing",
    (
        _subject(),
        C("EXSEQ", "integer", "infusion", required=True, values=("1", "2"), cdisc="EX.EXSEQ"),
        C("EXSTDTC", "datetime", "start of the infusion", required=True, cdisc="EX.EXSTDTC"),
        C("EXENDTC", "datetime", "end of the infusion", cdisc="EX.EXENDTC"),
        C("EXDOSE", "number", "dose given", required=True, unit="CAR+ NK cells", low=0, above=True, cdisc="EX.EXDOSE"),
        C("PLANNED_DAY", "integer", "planned day, 0 = first infusion", required=True, values=("0", "7"),
          cdisc="EX.VISITDY"),
    ),
)  # fmt: skip

SAMPLES = StudyTable(
    "samples",
    (
        C("SAMPLEID", "text", "specimen, as sample_id in the run's samplesheet", required=True, cdisc="CP.CPREFID"),
        _subject(),
        _visit(),
        C("PLANNED_DAY", "number", "planned day, 0 = first infusion", required=True, unit="d", low=-3650, high=3650,
          cdisc="ADPC.NFRLT"),
        C("DOSE_REF", "integer", "infusion that the planned time refers to; 0 = before any", required=True,
          values=("0", "1", "2"), cdisc="ADPC.ATPTREF"),
        C("PREDOSE", "boolean", "taken before the infusion named by DOSE_REF (before the first for 0)", required=True,
          cdisc="CP.CPTPT"),
        C("MATRIX", "word", "specimen type", required=True, values=("BLOOD", "BONE MARROW"), cdisc="CP.CPSPEC"),
        C("ANTICOAG", "word", "anticoagulant", values=("EDTA", "HEPARIN")),
        C("COLLDTC", "datetime", "collection; may be empty where STATUS is NOT DONE", cdisc="CP.CPDTC"),
        C("RECVDTC", "datetime", "receipt at the laboratory", cdisc="BE.BEDTC"),
        C("STAINDTC", "datetime", "staining", cdisc="BE"),
        C("ACQDTC", "datetime", "acquisition", cdisc="BE"),
        C("STATUS", "word", "whether the sample may be used", required=True, values=("OK", "NOT DONE", "REJECTED"),
          cdisc="CP.CPSTAT"),
        C("REASON", "text", "why, where STATUS is not OK", cdisc="CP.CPREASND"),
    ),
)  # fmt: skip

TUBES = StudyTable(
    "tubes",
    (
        C("TUBEID", "text", "tube; unique", required=True),
        C("SAMPLEID", "text", "specimen, as in samples.csv", required=True),
        C("PANEL", "word", "panel", required=True, values=("CARNK", "MRD1", "MRD2"), cdisc="CP.CPTSTPNL"),
        C("FCS_FILE", "text", "FCS file, relative to the study folder", required=True),
        C("INSTRUMENT", "text", "cytometer", required=True),
        C("SAMPLE_VOL_UL", "number", "volume of specimen in the tube", required=True, unit="uL", low=0, above=True),
        C("DILUTION", "number", "factor of dilution", required=True, low=1),
        C("BEAD_LOT", "text", "lot of the counting beads"),
        C("BEADS_PER_TUBE", "number", "beads in the tube, from the lot's certificate", low=0, above=True),
        C("LOQ_EVENTS", "integer", "events from which a population is measured", low=1),
        C("LOD_EVENTS", "integer", "events from which a population is detected", low=1),
    ),
    required=False,
)

CBC = StudyTable(
    "cbc",
    (
        C("SAMPLEID", "text", "specimen, as in samples.csv", required=True, cdisc="LB"),
        C("WBC", "number", "white blood cells", required=True, unit="10^9/L", low=0, high=500,
          hint="the unit is 10^9 cells per litre", cdisc="LB WBC"),
        _percent("LYMPH_PCT", "lymphocytes", "LB LYMLE"),
        C("CBCDTC", "datetime", "time of the count", required=True, cdisc="LB.LBDTC"),
    ),
)  # fmt: skip

RESP_LABS = StudyTable(
    "resp_labs",
    (
        _subject(),
        _visit(),
        C("LBDTC", "moment", "collection", required=True, cdisc="LB.LBDTC"),
        C("LBTESTCD", "text", "test, one of trial.study.units.LAB_TESTS", required=True, cdisc="LB.LBTESTCD"),
        C("LBORRES", "text", "result: a number, <x, POSITIVE or NEGATIVE", required=True, cdisc="LB.LBORRES"),
        C("LBORRESU", "text", "unit; empty or 1 for a ratio or a word", cdisc="LB.LBORRESU"),
        C("LBSPEC", "word", "specimen", required=True, values=("SERUM", "URINE", "BLOOD", "PLASMA"),
          cdisc="LB.LBSPEC"),
        C("LBNRLO", "number", "lower end of the normal range, in LBORRESU", cdisc="LB.LBORNRLO"),
        C("LBNRHI", "number", "upper end of the normal range, in LBORRESU", cdisc="LB.LBORNRHI"),
        C("SPURIOUS", "boolean", "left out of the nadir", cdisc="SUPPLB"),
    ),
)  # fmt: skip

MARROW = StudyTable(
    "marrow",
    (
        _subject(),
        _visit(),
        C("BMDTC", "moment", "aspiration or biopsy", required=True, cdisc="MI/LB"),
        _percent("PC_PCT", "plasma cells by morphology (the larger of aspirate and biopsy at baseline)", "LB PLSTCECE"),
        C("PC_METHOD", "word", "where PC_PCT was counted; never by flow", required=True,
          values=("ASPIRATE", "BIOPSY"), cdisc="MI"),
        C("CLONAL_IHC", "word", "clonal plasma cells by immunohistochemistry", values=("ABSENT", "PRESENT", "NE"),
          cdisc="MI"),
        C("IHC_PC_COUNTED", "integer", "plasma cells counted for it; 100 or more", low=0, cdisc="MI"),
        C("MRD_METHOD", "word", "method of MRD_*; FLOW comes from the runs", values=("FLOW", "NGS"),
          cdisc="CP.CPMETHOD"),
        C("MRD_TOTAL_EVENTS", "integer", "nucleated cells (or genomes) tested", low=0, cdisc="CP NUCCE"),
        C("MRD_ABERRANT_EVENTS", "integer", "clonal cells (or genomes) among them", low=0, cdisc="CP CPC"),
        C("FIRST_PULL", "boolean", "first pull of the aspirate"),
    ),
)  # fmt: skip

IMAGING = StudyTable(
    "imaging",
    (
        _subject(),
        _visit(),
        C("IMDTC", "moment", "imaging", required=True, cdisc="TR/TU"),
        C("MODALITY", "word", "modality", required=True, values=("PETCT", "CT", "MRI", "SURVEY"), cdisc="TR.TRMETHOD"),
        C("SPD_MM2", "number", "sum of products of diameters over plasmacytomas", unit="mm2", low=0, high=1e6,
          hint="the unit is mm2", cdisc="TR"),
        C("LDIAM_MM", "number", "longest diameter of the largest lesion", unit="mm", low=0, high=1000,
          hint="the unit is mm", cdisc="TR"),
        C("NEW_LESION", "word", "a new lesion", required=True, values=YES_NO_NE, cdisc="TU/RS NEWLIND"),
        C("PET_NEG", "word", "negative by PET", values=YES_NO_NE, cdisc="RS"),
    ),
)  # fmt: skip

EVENTS = StudyTable(
    "events",
    (
        _subject(),
        C("AEDECOD", "text", "preferred term", required=True, cdisc="AE.AEDECOD"),
        C("AEBODSYS", "text", "system organ class", cdisc="AE.AEBODSYS"),
        C("AESTDTC", "moment", "onset", required=True, cdisc="AE.AESTDTC"),
        C("AEENDTC", "moment", "end; empty while it lasts", cdisc="AE.AEENDTC"),
        C("AETOXGR", "integer", "grade, CTCAE v5", required=True, values=("1", "2", "3", "4", "5"), cdisc="AE.AETOXGR"),
        C("ASTCTGR", "integer", "grade by ASTCT, for CRS and ICANS", values=("1", "2", "3", "4", "5"), cdisc="SUPPAE"),
        C("AEREL", "word", "related to the cells", required=True,
          values=("Y", "N", "RELATED", "PROBABLE", "POSSIBLE", "UNLIKELY", "NOT RELATED"), cdisc="AE.AEREL"),
        C("AESER", "word", "serious", required=True, values=YES_NO, cdisc="AE.AESER"),
        C("DLTFL", "word", "dose-limiting toxicity", required=True, values=YES_NO, cdisc="SUPPAE"),
    ),
)  # fmt: skip

VITALS = StudyTable(
    "vitals",
    (
        _subject(),
        _visit(),
        C("VSDTC", "moment", "measurement", required=True, cdisc="VS.VSDTC"),
        C("VSTESTCD", "word", "what was measured", required=True, values=("WEIGHT", "ECOG", "SPO2", "LVEF"),
          cdisc="VS.VSTESTCD/QS"),
        C("VSORRES", "number", "result", required=True, cdisc="VS.VSORRES"),
        C("VSORRESU", "text", "unit: kg, %; empty for ECOG", cdisc="VS.VSORRESU"),
    ),
)  # fmt: skip

THERAPY = StudyTable(
    "therapy",
    (
        _subject(),
        C("NACTDT", "date", "start of the first new anti-myeloma therapy", cdisc="CM"),
        C("NACTTRT", "text", "that therapy", cdisc="CM.CMTRT"),
    ),
)

FOLLOWUP = StudyTable(
    "followup",
    (
        _subject(),
        C("LSTALVDT", "date", "last known alive", cdisc="ADSL.LSTALVDT"),
        C("DTHDT", "date", "death", cdisc="ADSL.DTHDT"),
        C("DTHCAUS", "text", "cause of death", cdisc="ADSL.DTHCAUS"),
    ),
)

TABLES: dict[str, StudyTable] = {
    table.name: table
    for table in (
        SUBJECTS, DOSING, SAMPLES, TUBES, CBC, RESP_LABS, MARROW, IMAGING, EVENTS, VITALS, THERAPY, FOLLOWUP,
    )
}  # fmt: skip
