package soft

// Prime is the test of factors, for TestWycheproofPrimality.
var Prime = prime
