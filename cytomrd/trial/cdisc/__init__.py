"""The study as CDISC has it: SDTM and ADaM as Dataset-JSON 1.1 and XPT version 5, described by Define-XML 2.1."""
