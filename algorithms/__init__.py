"""The algorithms, one file each: what users call, and where it is.

====================  ===============================================================================
`for_each`            for_each
`transform`           transform, copy, fill, iota
`reduce`              reduce, transform_reduce
`count`               count, count_if, all_of, any_of, none_of
`extrema`             min_element, max_element, minmax_element
`find`                find, find_if, find_last_if, adjacent_find, mismatch, equal
`search`              search, find_first_of, lexicographical_compare, is_sorted_until, is_partitioned
`scan`                inclusive_scan, exclusive_scan, transform_scan
`sort`                sort, stable_sort, argsort, sort_by_key, is_sorted
`merge`               merge
`select`              kth_smallest, nth_element
`top`                 top_k, partial_sort
`searchsorted`        searchsorted
`unique`              unique, unique_count
`sets`                set_union, set_intersection, set_difference, set_symmetric_difference, includes
`isin`                isin
`copy_if`             copy_if, remove_if, pack_index, partition
`moves`               gather, scatter, reverse, rotate
`pairs`               adjacent_difference, inner_product
`shifts`              shift_left, shift_right, transpose, gather_if, scatter_if
`histogram`           histogram, bincount
`segmented`           segmented_reduce, segmented_scan
`runs`                run_length_encode
`by_key`              reduce_by_key, scan_by_key, unique_by_key, group_by_key, merge_by_key
`for_each_segment`    for_each_segment
`stencil`             stencil
`worklist`            Worklist, push
`empty_like`          empty_like
`random`              the numbers and fills of pp.random
`batched`             matmul, solve and cholesky of pp.batched
`stream`              the STREAM benchmark of ``portapar stream``
====================  ===============================================================================

What they stand on, besides each other: `axes` (reductions with ``axis=``), `axis_scans` (scans with it),
`order` (what a key says of the order of elements), `radix` (sorting of codes), `few_sorted` (few elements in order,
in one step), `few_counted` (few elements counted), `bins` (which bin of a histogram a number is in),
`deterministic` (atomic sums in a fixed order), `segments` (offsets, and work on segments in balance),
`segment_steps` (what is done on one device), `groups` (selections by groups of a GPU's work-items),
`segment_groups` (work on segments by them), `scan_tiles` (scans) and `batched_kernels` (small dense matrices).
"""
