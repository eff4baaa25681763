"""The trial: from results and the study's tables to PK, PD, response, MRD, safety and CDISC."""
