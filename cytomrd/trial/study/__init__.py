"""The study folder: ``study.toml`` and its CSV tables, typed, checked, and joined with the runs' results."""

from cytomrd.trial.study.problems import Problem
from cytomrd.trial.study.settings import StudySettings
from cytomrd.trial.study.study import Study, check_study_folder, read_study

__all__ = ["Problem", "Study", "StudySettings", "check_study_folder", "read_study"]
