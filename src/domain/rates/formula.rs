//! Formulas: numbers, names, `+ - * /` and parentheses; nothing else.
//!
//! Belongs here: the closed grammar and its parser (once per tariff). Does not
//! belong here: what a name is worth, or any evaluation.

use rust_decimal::Decimal;

use super::names::normal;
use super::number::parse_number;

/// Longest formula accepted, in bytes: a bound on memory and work.
const MAX_LENGTH: usize = 8_192;
/// Deepest tree accepted: a bound on recursion, for `((((…` and `a+a+a+…` alike.
pub(crate) const MAX_DEPTH: usize = 128;

/// A parsed formula.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// A number, exact.
    Number(Decimal),
    /// A name, in normal form.
    Name(String),
    /// Unary minus.
    Negative(Box<Expr>),
    /// Two operands.
    Binary(Operator, Box<Expr>, Box<Expr>),
}

/// The four operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
}

impl Expr {
    /// Reads a formula.
    ///
    /// # Errors
    /// A sentence saying what was expected, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("formula of {} characters: expected at most {MAX_LENGTH}", text.len()));
        }
        // A lone number may be written with thousands separators.
        if let Some(number) = parse_number(text) {
            return Ok(Self::Number(number));
        }
        let tokens = tokens(text)?;
        let mut parser = Parser { text, tokens: &tokens, at: 0 };
        let (expr, _) = parser.sum(0)?;
        match parser.peek() {
            None => Ok(expr),
            Some(_) => Err(parser.expected("an operator or the end")),
        }
    }

    /// Calls `visit` with each name, left to right.
    pub(crate) fn names<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        match self {
            Self::Number(_) => {}
            Self::Name(name) => visit(name),
            Self::Negative(inner) => inner.names(visit),
            Self::Binary(_, left, right) => {
                left.names(visit);
                right.names(visit);
            }
        }
    }

    /// How deep the tree is.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Number(_) | Self::Name(_) => 1,
            Self::Negative(inner) => 1 + inner.depth(),
            Self::Binary(_, left, right) => 1 + left.depth().max(right.depth()),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(Decimal),
    Name(String),
    Sign(char),
}

/// Cuts the text into tokens, each with its character position from 1.
fn tokens(text: &str) -> Result<Vec<(usize, Token)>, String> {
    let letters: Vec<char> = text.chars().collect();
    let mut tokens: Vec<(usize, Token)> = Vec::new();
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        let start = at;
        if letter.is_whitespace() {
            at += 1;
        } else if letter.is_ascii_digit() || letter == '.' {
            at = end_of_number(&letters, at);
            let word = text_of(&letters, start, at);
            let number = parse_number(&word).ok_or_else(|| format!("`{text}`: `{word}` is not a number"))?;
            tokens.push((start + 1, Token::Number(number)));
        } else if letter.is_alphabetic() || letter == '_' {
            at = end_of(&letters, at, |c| c.is_alphanumeric() || c == '_' || c == '.');
            push_name(&mut tokens, start, &normal(&text_of(&letters, start, at)));
        } else if matches!(letter, '+' | '-' | '*' | '/' | '(' | ')') {
            at += 1;
            tokens.push((start + 1, Token::Sign(letter)));
        } else {
            return Err(format!("`{text}`: `{letter}` at character {}: expected numbers, names, + - * / and parentheses", start + 1));
        }
    }
    Ok(tokens)
}

/// Two names side by side are one name written with a blank.
fn push_name(tokens: &mut Vec<(usize, Token)>, start: usize, name: &str) {
    if let Some((_, Token::Name(before))) = tokens.last_mut() {
        before.push('_');
        before.push_str(name);
    } else {
        tokens.push((start + 1, Token::Name(name.to_owned())));
    }
}

fn end_of(letters: &[char], from: usize, belongs: impl Fn(char) -> bool) -> usize {
    let rest = letters.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|c| belongs(**c)).count()
}

/// Digits, points, and an exponent only when digits follow it.
fn end_of_number(letters: &[char], from: usize) -> usize {
    let mantissa = end_of(letters, from, |c| c.is_ascii_digit() || c == '.');
    if !matches!(letters.get(mantissa), Some('e' | 'E')) {
        return mantissa;
    }
    let signed = matches!(letters.get(mantissa + 1), Some('+' | '-'));
    let digits = mantissa + 1 + usize::from(signed);
    let end = end_of(letters, digits, |c| c.is_ascii_digit());
    if end > digits { end } else { mantissa }
}

fn text_of(letters: &[char], from: usize, to: usize) -> String {
    letters.get(from..to).unwrap_or_default().iter().collect()
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [(usize, Token)],
    at: usize,
}

/// A tree and its depth, kept so that the bound costs no second walk.
type Deep = (Expr, usize);

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn take_sign(&mut self, signs: &[char]) -> Option<char> {
        match self.peek() {
            Some(Token::Sign(sign)) if signs.contains(sign) => {
                let sign = *sign;
                self.at += 1;
                Some(sign)
            }
            _ => None,
        }
    }

    fn expected(&self, what: &str) -> String {
        match self.tokens.get(self.at) {
            Some((position, _)) => {
                format!("`{}`: expected {what} at character {position}", self.text)
            }
            None => format!("`{}`: expected {what} at the end", self.text),
        }
    }

    fn bounded(&self, expr: Expr, depth: usize) -> Result<Deep, String> {
        if depth > MAX_DEPTH {
            return Err(format!("formula nested or chained more than {MAX_DEPTH} deep: `{}`", self.text.chars().take(40).collect::<String>()));
        }
        Ok((expr, depth))
    }

    fn binary(&self, op: char, left: Deep, right: Deep) -> Result<Deep, String> {
        let operator = match op {
            '+' => Operator::Add,
            '-' => Operator::Subtract,
            '*' => Operator::Multiply,
            _ => Operator::Divide,
        };
        let depth = 1 + left.1.max(right.1);
        let expr = Expr::Binary(operator, Box::new(left.0), Box::new(right.0));
        self.bounded(expr, depth)
    }

    fn sum(&mut self, nesting: usize) -> Result<Deep, String> {
        let mut left = self.product(nesting)?;
        while let Some(sign) = self.take_sign(&['+', '-']) {
            let right = self.product(nesting)?;
            left = self.binary(sign, left, right)?;
        }
        Ok(left)
    }

    fn product(&mut self, nesting: usize) -> Result<Deep, String> {
        let mut left = self.operand(nesting)?;
        while let Some(sign) = self.take_sign(&['*', '/']) {
            let right = self.operand(nesting)?;
            left = self.binary(sign, left, right)?;
        }
        Ok(left)
    }

    fn operand(&mut self, nesting: usize) -> Result<Deep, String> {
        if nesting > MAX_DEPTH {
            return self.bounded(Expr::Number(Decimal::ZERO), nesting);
        }
        match self.take_sign(&['-', '+', '(']) {
            Some('-') => {
                let (inner, depth) = self.operand(nesting + 1)?;
                self.bounded(Expr::Negative(Box::new(inner)), depth + 1)
            }
            Some('+') => self.operand(nesting + 1),
            Some(_) => {
                let inner = self.sum(nesting + 1)?;
                match self.take_sign(&[')']) {
                    Some(_) => Ok(inner),
                    None => Err(self.expected("`)`")),
                }
            }
            None => self.leaf(),
        }
    }

    fn leaf(&mut self) -> Result<Deep, String> {
        let expr = match self.peek() {
            Some(Token::Number(number)) => Expr::Number(*number),
            Some(Token::Name(name)) => Expr::Name(name.clone()),
            _ => return Err(self.expected("a number or a name")),
        };
        self.at += 1;
        Ok((expr, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(expr: &Expr) -> String {
        match expr {
            Expr::Number(number) => number.to_string(),
            Expr::Name(name) => name.clone(),
            Expr::Negative(inner) => format!("(-{})", shown(inner)),
            Expr::Binary(operator, left, right) => {
                let sign = match operator {
                    Operator::Add => '+',
                    Operator::Subtract => '-',
                    Operator::Multiply => '*',
                    Operator::Divide => '/',
                };
                format!("({}{sign}{})", shown(left), shown(right))
            }
        }
    }

    fn tree(text: &str) -> String {
        shown(&Expr::parse(text).unwrap())
    }

    #[test]
    fn precedence_and_association() {
        assert_eq!(tree("a+b*c"), "(a+(b*c))");
        assert_eq!(tree("a-b-c"), "((a-b)-c)");
        assert_eq!(tree("a/b*c"), "((a/b)*c)");
        assert_eq!(tree("(a+b)*c"), "((a+b)*c)");
        assert_eq!(tree("-a*b"), "((-a)*b)");
        assert_eq!(tree("a*-b"), "(a*(-b))");
        assert_eq!(tree("a*(1/748)"), "(a*(1/748))");
        assert_eq!(tree("+.7"), "0.7");
        assert_eq!(tree("1,084.87"), "1084.87");
        assert_eq!(tree("2.5e-2*x"), "(0.025*x)");
    }

    #[test]
    fn names_in_any_case_and_with_blanks() {
        assert_eq!(tree("Service Charge + COMMODITY_CHARGE"), "(service_charge+commodity_charge)");
    }

    #[test]
    fn says_what_was_expected() {
        let refused = |text: &str| Expr::parse(text).unwrap_err();
        assert_eq!(refused("a+"), "`a+`: expected a number or a name at the end");
        assert_eq!(refused("(a"), "`(a`: expected `)` at the end");
        assert_eq!(refused("a b) c"), "`a b) c`: expected an operator or the end at character 4");
        assert!(refused("a^2").contains("`^` at character 2"));
        assert!(refused("1.2.3*a").contains("`1.2.3` is not a number"));
        assert!(refused("2 a").contains("expected an operator or the end at character 3"));
        assert!(refused("").contains("expected a number or a name at the end"));
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let nested = format!("{}1{}", "(".repeat(4000), ")".repeat(4000));
        assert!(Expr::parse(&nested).unwrap_err().contains("more than 128 deep"));
        let minus = format!("{}1", "-".repeat(4000));
        assert!(Expr::parse(&minus).unwrap_err().contains("more than 128 deep"));
        let chain = vec!["a"; 1000].join("+");
        assert!(Expr::parse(&chain).unwrap_err().contains("more than 128 deep"));
        assert!(Expr::parse(&vec!["a"; 100].join("+")).is_ok());
        assert!(Expr::parse(&"a".repeat(9000)).unwrap_err().contains("at most 8192"));
    }
}
