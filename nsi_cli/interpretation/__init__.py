"""What slots show: runs and their readers, queries, exports, figures and pages."""
