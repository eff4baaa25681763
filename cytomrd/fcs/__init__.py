"""Reading and writing FCS files: header, text, data, dataset, writer."""
