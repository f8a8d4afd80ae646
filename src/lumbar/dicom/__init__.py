"""DICOM -> Radiograph, and simulated films -> DICOM."""

from lumbar.dicom.film_in import read_dicom
from lumbar.dicom.film_out import write_dx
from lumbar.dicom.spacing import pixel_spacing

__all__ = ["pixel_spacing", "read_dicom", "write_dx"]
