"""What differs from venue to venue: capabilities, rules, and the ccxt clients behind one interface."""
