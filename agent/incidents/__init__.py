"""The incident recorder: minutes at full rate around whatever goes wrong, kept on disk.

frame ──► triggers ──► recorder ──► writing (beside the loop) ──► folder ──► summary, post mortem
"""
