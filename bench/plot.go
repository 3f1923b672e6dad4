//nolint:misspell // the names of Go and gonum are American
package bench

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// plotFolder is where plots lie, beside the page that shows them.
const plotFolder = "plots"

// The size of a plot.
const (
	plotWidth  = 16 * vg.Centimeter
	plotHeight = 9 * vg.Centimeter
)

// colours are told apart by most eyes: those of Okabe and Ito.
var colours = []color.Color{
	color.RGBA{0, 114, 178, 255}, color.RGBA{213, 94, 0, 255}, color.RGBA{0, 158, 115, 255},
	color.RGBA{204, 121, 167, 255}, color.RGBA{86, 180, 233, 255}, color.RGBA{230, 159, 0, 255},
	color.RGBA{0, 0, 0, 255},
}

// chart is what a plot shows: lines through points, or points over names.
type chart struct {
	name, title, x, y string
	lines             []series
	names             []string // of the places 0, 1, … of x; nil: x is numbers
	logX, logY        bool
}

// series is one line, or one row of points where places have names.
type series struct {
	name   string
	xs, ys []float64
	dashed bool
	paired bool // has the colour of the one before
}

func (s *series) add(x, y float64) { s.xs, s.ys = append(s.xs, x), append(s.ys, y) }

func (s *series) points() plotter.XYs {
	points := make(plotter.XYs, len(s.xs))
	for i := range points {
		points[i].X, points[i].Y = s.xs[i], s.ys[i]
	}
	return points
}

// plotFile is a chart that is drawn.
type plotFile struct {
	name string // without ending
	svg  []byte
	plot *plot.Plot
}

func (f *plotFile) png() ([]byte, error) {
	c := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(plotWidth, plotHeight),
		vgimg.UseDPI(150))}
	f.plot.Draw(draw.New(c))
	var b bytes.Buffer
	_, err := c.WriteTo(&b)
	return b.Bytes(), err
}

// draw draws a chart.
func (c *chart) draw() (plotFile, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, c.x, c.y
	sans := font.Font{Typeface: "Liberation", Variant: "Sans", Size: font.Points(10)}
	for _, style := range []*font.Font{&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font,
		&p.Y.Label.TextStyle.Font, &p.X.Tick.Label.Font, &p.Y.Tick.Label.Font,
		&p.Legend.TextStyle.Font} {
		*style = sans
	}
	p.Title.Padding, p.Legend.Top, p.Legend.Left = vg.Points(8), true, true
	p.Legend.Padding = vg.Points(2)
	p.Add(plotter.NewGrid())
	colour := -1
	for i := range c.lines {
		if !c.lines[i].paired {
			colour++
		}
		if err := c.addLine(p, &c.lines[i], colours[colour%len(colours)]); err != nil {
			return plotFile{}, err
		}
	}
	c.scale(p)
	svg := vgsvg.New(plotWidth, plotHeight)
	p.Draw(draw.New(svg))
	var b bytes.Buffer
	if _, err := svg.WriteTo(&b); err != nil {
		return plotFile{}, fmt.Errorf("draw %s: %w", c.name, err)
	}
	return plotFile{name: c.name, svg: b.Bytes(), plot: p}, nil
}

func (c *chart) addLine(p *plot.Plot, s *series, colour color.Color) error {
	line, points, err := plotter.NewLinePoints(s.points())
	if err != nil {
		return fmt.Errorf("draw %s: %w", c.name, err)
	}
	line.Color, points.Color, line.Width = colour, colour, vg.Points(1.5)
	points.Shape, points.Radius = draw.CircleGlyph{}, vg.Points(2.5)
	if s.dashed {
		line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
	}
	if c.names != nil {
		p.Add(points)
		p.Legend.Add(s.name, points)
		return nil
	}
	if len(s.xs) > 50 { // a curve, on which points would hide each other
		p.Add(line)
		p.Legend.Add(s.name, line)
		return nil
	}
	p.Add(line, points)
	p.Legend.Add(s.name, line, points)
	return nil
}

// scale sets the axes. A linear axis of y begins at zero, so that heights can be compared, and has
// room for the legend.
func (c *chart) scale(p *plot.Plot) {
	if c.names != nil {
		p.NominalX(c.names...)
		p.X.Min, p.X.Max = -0.5, float64(len(c.names))-0.5
	}
	if c.logX {
		p.X.Scale = plot.LogScale{}
		p.X.Tick.Marker = plot.ConstantTicks(c.places())
	}
	if c.logY {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		p.Y.Min = math.Pow(10, math.Floor(math.Log10(p.Y.Min)))
		p.Y.Max = 6 * math.Pow(10, math.Ceil(math.Log10(p.Y.Max))) // with room for the legend
		return
	}
	p.Y.Min, p.Y.Max = 0, p.Y.Max*1.25
}

// places are the marks of x at the points that there are.
func (c *chart) places() []plot.Tick {
	var ticks []plot.Tick
	seen := map[float64]bool{}
	for _, s := range c.lines {
		for _, x := range s.xs {
			if !seen[x] {
				seen[x] = true
				ticks = append(ticks,
					plot.Tick{Value: x, Label: strconv.FormatFloat(x, 'f', -1, 64)})
			}
		}
	}
	return ticks
}

// plotsOf draws all charts of results.
func plotsOf(results []*Result) ([]plotFile, error) {
	var files []plotFile
	for _, r := range results {
		for _, c := range chartsOf(r) {
			f, err := c.draw()
			if err != nil {
				return nil, err
			}
			files = append(files, f)
		}
	}
	return files, nil
}
