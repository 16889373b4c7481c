"""SmartCart Pipeline: a nightly customer export goes in, segments a marketing team can act on come out.

The data flow, in the order of the assets:

    export ─► raw_customers ─► cleaned ─► features ─► scaled ─► pca_components ─► k_selection ─► clusters ─► profiles
                     └─► rejected_customers      └─ scaler   └─ loadings                 └─ centroids, comparison

`segmentation` holds the verbs (pure functions over frames and numbers), `engines` says where frames live, `storage`
keeps the lake of Parquet files and publishes the warehouse, `assets` are the nouns that Dagster shows, `checks` guard
each table, `automation` runs the job every night and `cli` runs it by hand. `contract` and `tables` declare columns.
"""
