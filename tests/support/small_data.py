"""How much mini data the tests make."""

from coreheads.tasks.mini.sizes import Sizes

SMALL = Sizes(refcocog=(4, 6), vidstg=(4, 8), mmdocir=(4, 6), mmlongbench_doc=(3, 5), mlvu=(4, 8))
