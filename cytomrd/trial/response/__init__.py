"""Response of myeloma and plasma cell leukaemia to treatment: levels, progression, confirmation, MRD categories."""
