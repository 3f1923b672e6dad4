package bench

import (
	"math"
	"testing"
)

func TestMedianIsTheMiddleValue(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := median(tt.values); got != tt.want {
			t.Errorf("median(%v) = %v, want %v", tt.values, got, tt.want)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing = %v, want NaN", got)
	}
}

func TestMedianLeavesItsArgumentInOrder(t *testing.T) {
	values := []float64{3, 1, 2}
	median(values)
	if values[0] != 3 || values[1] != 1 || values[2] != 2 {
		t.Errorf("values became %v", values)
	}
}

func TestQuantileInterpolates(t *testing.T) {
	sorted := []float64{10, 20, 30, 40, 50}
	for q, want := range map[float64]float64{0: 10, 0.25: 20, 0.5: 30, 0.625: 35, 1: 50} {
		if got := quantile(sorted, q); got != want {
			t.Errorf("quantile(%v) = %v, want %v", q, got, want)
		}
	}
	if got := quantile(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("quantile of nothing = %v, want NaN", got)
	}
}

func TestRatioBoundsEncloseTheRatio(t *testing.T) {
	rounds := []paired{
		{[]float64{98, 99}, []float64{100, 101}},
		{[]float64{97, 100}, []float64{99, 100}},
		{[]float64{96, 98}, []float64{100, 102}},
		{[]float64{99, 101}, []float64{101, 100}},
	}
	ratio := pool(rounds).ratio()
	low, high, ok := ratioBounds(rounds)
	if !ok || low > ratio || ratio > high || low < 0.9 || high > 1.1 {
		t.Errorf("bounds %v to %v (%v) of %v", low, high, ok, ratio)
	}
	low2, high2, _ := ratioBounds(rounds)
	if low2 != low || high2 != high {
		t.Errorf("the same rounds gave %v to %v, then %v to %v", low, high, low2, high2)
	}
}

func TestRatioBoundsOfEqualRoundsAreThePoint(t *testing.T) {
	same := paired{[]float64{50}, []float64{100}}
	low, high, ok := ratioBounds([]paired{same, same, same})
	if !ok || low != 0.5 || high != 0.5 {
		t.Errorf("got %v to %v (%v), want 0.5 to 0.5", low, high, ok)
	}
}

func TestRatioBoundsNeedThreeRounds(t *testing.T) {
	same := paired{[]float64{50}, []float64{100}}
	if _, _, ok := ratioBounds([]paired{same, same}); ok {
		t.Error("two rounds gave bounds")
	}
}
