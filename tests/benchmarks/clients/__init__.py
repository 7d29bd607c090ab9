"""The clients under test. A module is imported only where its library is installed."""
