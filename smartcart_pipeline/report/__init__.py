"""The report: one page that marketing reads first and a data scientist after, made from the published warehouse.

`reading` asks the warehouse, `wording` says it in plain words, `changes` what is new of it, `charts` turns numbers into
shapes, `contents` puts them together and `rendering` makes the file. Nothing here fits a model: every number on the
page stands in the warehouse, or is a sum, share or interval of numbers that do.
"""
