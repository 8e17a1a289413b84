// Reads pod templates as a JSON list of {from, metadata, spec} from standard input and prints a JSON list of {from, reason}
// of those that the restricted profile of Pod Security Admission refuses: by the code that the API server runs.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

type template struct {
	From     string            `json:"from"`
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     corev1.PodSpec    `json:"spec"`
}

type refusal struct {
	From   string `json:"from"`
	Reason string `json:"reason"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var templates []template
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&templates); err != nil {
		return err
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	refused := []refusal{}
	for _, each := range templates {
		result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &each.Metadata, &each.Spec))
		if !result.Allowed {
			refused = append(refused, refusal{each.From, result.ForbiddenDetail()})
		}
	}
	return json.NewEncoder(os.Stdout).Encode(refused)
}
