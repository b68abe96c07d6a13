// Package validate holds values against the schemas and says in words what is wrong: which value, which rule, what
// would be right. It promises the same faults in the same order for the same value. It knows no file and no place.
package validate
