"""Fine-tuning of a pretrained image tower: classification, detection, segmentation (protocol of MGCA and CM-CGNS)."""
